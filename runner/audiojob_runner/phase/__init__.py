"""One phase from file to exit code: supervisor and worker processes, progress, results. Imports tasks and below."""
