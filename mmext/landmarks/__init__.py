"""Landmarks in faces, animals and objects. Host: mmengine alone."""
