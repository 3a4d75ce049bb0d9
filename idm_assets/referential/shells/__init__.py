"""Parts of the import and export of asset administration shells; the doors are one level up."""
