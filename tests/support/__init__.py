"""What the tests of all packages share: a throwaway PostgreSQL, a browser, fixtures for both."""
