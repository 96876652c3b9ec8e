"""A repository with an MLflow store of its own, and a server."""

from stores import empty_repo, params, server

__all__ = ["empty_repo", "params", "server"]
