"""Public tools for tests of Towpath and of what is built on it; nothing in Towpath imports them."""
