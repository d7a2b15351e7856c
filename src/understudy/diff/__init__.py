"""What has changed between two versions of a contract, for those who use the provider."""
