"""How does a program ask the services?"""
