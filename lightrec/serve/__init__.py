"""Serve a bundle over HTTP: a small sidecar service, and the folders that other model servers read.

The service needs the extra ``serve``; :mod:`lightrec.serve.model_repository` needs nothing beyond the base.
"""
