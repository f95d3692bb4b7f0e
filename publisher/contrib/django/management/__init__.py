"""manage.py publisher."""
