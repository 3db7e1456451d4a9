"""The database: tables and sessions. Knows no policy, no workflow, no destination."""
