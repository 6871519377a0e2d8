"""How does it look? One file per kind of picture. Importing this package is free: matplotlib loads when a picture is drawn."""
