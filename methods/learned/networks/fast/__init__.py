"""Forms of networks that give the plain forms' results in less time and memory."""
