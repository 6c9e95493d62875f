"""Search of hyper-parameters, recipes and architectures over any config. Host: mmengine alone."""
