"""The page. It draws what the store holds and hands specs to the queue; it never imports torch and never trains."""
