"""Sources and how their items are listed, fetched and watched: folder, file, git repository, web page."""
