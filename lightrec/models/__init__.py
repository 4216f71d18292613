"""Teachers (pre-trained language models over item sequences) and students (small sequential models)."""

from lightrec.extras import require_extra

require_extra("train", "Building models")
