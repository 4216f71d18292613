"""Train and time other libraries' models in their own interpreters."""
