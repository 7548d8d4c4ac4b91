"""What Ray Serve does around a replica, seen from inside it."""


def http_host() -> str | None:
    """The address that Serve's proxies listen on; None outside Serve."""
    import ray

    if not ray.is_initialized():
        return None
    # Serve tells it through nothing public but the dashboard, which a replica may have no token for.
    from ray.serve.context import _get_global_client

    client = _get_global_client(raise_if_no_controller_running=False)
    return None if client is None else str(client.http_config.host)
