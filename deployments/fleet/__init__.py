"""Model replicas: the deployment that carries an engine, and the pure policies around it."""
