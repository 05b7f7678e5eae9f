"""The place for facts. `base` is the interface; `memory` and `sql` are two such places."""
