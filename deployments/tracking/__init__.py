"""The task state tracker."""
