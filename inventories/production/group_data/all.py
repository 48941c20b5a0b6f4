"""What holds for every host of the site."""

ssh_user = "root"
ssh_strict_host_key_checking = "yes"

site = {
    "name": "production",
    "networks": ["10.20.0.0/24"],
    # The CA key lives here, on the controller, outside the repository. Back it up like any other key.
    "pki": "/etc/pend-ops/production/pki",
    # Encrypt with: age -R ~/.ssh/id_ed25519.pub -o inventories/production/secrets.age secrets.toml
    "secrets": {
        "source": "age",
        "file": "inventories/production/secrets.age",
        "identity": "~/.ssh/id_ed25519",
    },
}

repository = {
    "endpoint": "https://s3.eu-central-1.amazonaws.com",
    "region": "eu-central-1",
    "bucket": "pend-production-backups",
    "path_style": False,
}
