"""stub"""

ACTUAL: dict = {}
