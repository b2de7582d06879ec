"""Browser pages: parse → access → one action → answer."""
