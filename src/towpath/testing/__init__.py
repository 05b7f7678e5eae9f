"""What tests of Towpath, and of what is built for it, are made of: suites, fakes and faults.

Rules: public; needs no test framework; imports interfaces only; nothing in Towpath imports it.
"""
