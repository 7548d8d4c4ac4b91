"""spark-vision: the pictures it is trained on, its model, and the tasks it is measured by."""
