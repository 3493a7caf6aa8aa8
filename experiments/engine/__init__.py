"""Everything that needs torch. Nothing outside this folder imports torch when it is loaded."""
