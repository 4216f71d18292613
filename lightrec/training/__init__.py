"""Training: fine-tune a teacher, distil it into a student, or train a student alone."""

from lightrec.extras import require_extra

require_extra("train", "Training")
