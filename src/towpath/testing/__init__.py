"""What tests of Towpath, and of what is built on it, may use: suites, fakes, faults, a clock."""
