"""A repository with an MLflow store of its own."""

from stores import empty_repo, params, repo

__all__ = ["empty_repo", "params", "repo"]
