"""What operators need: a dashboard, alert rules, and a run that feeds them."""
