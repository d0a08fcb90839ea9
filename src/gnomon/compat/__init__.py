"""Strategies written for other libraries, run at our desk through thin shims."""
