"""yt-dlp as a library, confined: sessions, formats, live streams, errors. Imports fetch and below."""
