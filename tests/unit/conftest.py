"""For all unit tests."""

from hypothesis import settings

# A busy machine is no finding: no test has a limit to how long an example may take.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
