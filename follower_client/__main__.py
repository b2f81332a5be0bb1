"""`python -m follower_client` = the console script `follower-client`."""

from follower_client.cli import main

if __name__ == "__main__":
    main()
