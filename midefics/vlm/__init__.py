"""The torch rooms: a base model in, an adapter and answers out. Nothing outside imports them at module level."""
