"""What one notebook alone needs: its explorer, its figures and the checks of its exercises."""
