"""The few Textual widgets that everything is shown with."""
