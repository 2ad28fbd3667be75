"""Films of our own making: sound, a background and subtitles, put together by one guarded command."""
