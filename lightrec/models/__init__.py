"""Teachers (pre-trained language models over item sequences) and students (small sequential models)."""

from lightrec.extras import require_extra

require_extra("train", "Building models")

from transformers.utils import logging as _transformers_logging  # noqa: E402

# These models load in milliseconds; a progress bar for each file would bury the useful output.
_transformers_logging.disable_progress_bar()
