"""What holds for every host of the lab."""

# How pyinfra reaches them: `ops lab up` writes these files.
ssh_config_file = "/var/lib/ops-lab/ssh_config"
ssh_known_hosts_file = "/var/lib/ops-lab/ssh/known_hosts"
ssh_strict_host_key_checking = "yes"
ssh_user = "root"
ssh_key = "/var/lib/ops-lab/ssh/id_ed25519"

site = {
    "name": "lab",
    "networks": ["10.213.7.0/24"],
    "pki": "/var/lib/ops-lab/pki",
    "secrets": {"source": "generated", "file": "/var/lib/ops-lab/secrets.toml"},
}

repository = {
    "endpoint": "https://s3:8333",
    "bucket": "pend-backups",
    "ca": "site",
}
