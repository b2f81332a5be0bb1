"""The dashboard: read-only pages of what the drift monitor knows, and the metrics page.

Belongs here: pages and who may see them. Does not belong here: figures (`relay.core`), the store's queries
(`relay.store`), what is wrong (`relay.core.alarms`).
"""

from relay.dashboard.app import Dashboard

__all__ = ["Dashboard"]
