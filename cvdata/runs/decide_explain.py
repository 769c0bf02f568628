"""All that is known of one image, and why it stays or goes."""

from cvdata.workspace import Workspace


def explain(workspace: Workspace, name: str) -> list[str]:
    """In lines for a person."""
    return [name, workspace.store.url]
