"""What only a reader's page needs: explorers, exercises, claims, and setting up a machine."""
