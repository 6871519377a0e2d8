"""Who starts the services, and keeps them running?"""
