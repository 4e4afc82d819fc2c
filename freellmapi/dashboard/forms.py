"""The forms about the account. What is wrong stands at the field; what was typed stays."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import Field, PasswordField, StringField, ValidationError
from wtforms.validators import InputRequired, Length

from freellmapi.storage import passwords
from freellmapi.storage.accounts import LONGEST_NAME


def _good_password(_form: FlaskForm, field: Field) -> None:
    complaint = passwords.complaint(field.data or "")
    if complaint:
        raise ValidationError(complaint)


def _same_password(form: FlaskForm, field: Field) -> None:
    if field.data != form["password"].data:
        raise ValidationError("The two passwords differ.")


def _stripped(text: str | None) -> str | None:
    return text.strip() if text else text


class LoginForm(FlaskForm):
    name = StringField(
        "Name",
        filters=[_stripped],
        validators=[InputRequired("Enter your name."), Length(max=LONGEST_NAME)],
    )
    password = PasswordField("Password", validators=[InputRequired("Enter your password.")])


class SetupForm(FlaskForm):
    name = StringField(
        "Name",
        filters=[_stripped],
        default="admin",
        validators=[
            InputRequired("Choose a name."),
            Length(max=LONGEST_NAME, message=f"Use at most {LONGEST_NAME} characters."),
        ],
    )
    password = PasswordField(
        "Password", validators=[InputRequired("Choose a password."), _good_password]
    )
    code = StringField("Setup code", filters=[_stripped])


class PasswordForm(FlaskForm):
    current = PasswordField(
        "Current password", validators=[InputRequired("Enter your current password.")]
    )
    password = PasswordField(
        "New password", validators=[InputRequired("Choose a new password."), _good_password]
    )
    repeated = PasswordField("New password again", validators=[_same_password])
