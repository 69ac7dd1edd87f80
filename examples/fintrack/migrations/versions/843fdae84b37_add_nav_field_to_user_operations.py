"""add nav field to user_operations

Revision ID: 843fdae84b37
Revises: a75b8ab8d7ec
Create Date: 2025-06-29 21:40:57.119302

"""
from alembic import op
import sqlalchemy as sa

revision = '843fdae84b37'
down_revision = 'a75b8ab8d7ec'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column('user_operations', sa.Column('nav', sa.Numeric(20, 8), nullable=True, comment='成交净值'))
    op.create_check_constraint('ck_user_operations_nav', 'user_operations', 'nav > 0')


def downgrade():
    op.drop_constraint('ck_user_operations_nav', 'user_operations', type_='check')
    op.drop_column('user_operations', 'nav')
