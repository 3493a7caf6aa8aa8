"""The science of the lab: specs, catalogue, methods, engine, store and queue. It runs without a page and never imports one."""
