"""Work that starts by itself: at one time, or again and again by cron."""
