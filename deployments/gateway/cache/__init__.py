"""The response cache: answers that can only come out the same are given again, within one owner."""
