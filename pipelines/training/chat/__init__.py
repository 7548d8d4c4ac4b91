"""spark-chat: the data it is trained on and the tasks it is measured by."""
