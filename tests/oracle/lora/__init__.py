"""Adapters merged by PEFT itself, and how near what is merged here comes to it."""
