"""What the notebooks of beyond/ need: counting, sweeps, the census, the survey and the proof."""

from pathlib import Path

WEIGHTS = Path(__file__).parent / "weights"  # the survey's table and models, and the long models
