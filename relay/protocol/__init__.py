"""The wire contract between relay and followers: pure, public, shared by both sides."""
